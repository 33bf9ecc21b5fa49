"""Fashion-MNIST: its published files, the part that ships, and what is picked from it."""
