"""Pictures and widgets: arrays in, figures out."""
