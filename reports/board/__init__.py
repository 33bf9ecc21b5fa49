"""What a report says: the leaderboard, its rows, and what is found in them."""
