"""A report as text: sheets and sentences, whatever the format."""
