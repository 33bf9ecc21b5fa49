"""The page of the format `html`: what it says, its figures and pictures, its template and style."""
