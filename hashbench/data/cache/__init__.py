"""The decode cache: images from their files to one array of pixels, once."""
