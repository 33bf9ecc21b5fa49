"""Lists of images and labels in the papers' layouts, and data sets made of them."""
