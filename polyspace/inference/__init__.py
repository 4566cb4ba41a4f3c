"""Using what was exported: videos, frames or features in, the chances of the classes out."""
