"""What is proven of the built-in hashes: how many bits no file of a box turns.

`median_bound` holds for every hash that compares values with their median, wherever the values lie
within a distance of a point; the other files hold what is known of one hash each.
"""
