"""Files of weights that somebody else wrote: looked at before anything of them is believed."""
