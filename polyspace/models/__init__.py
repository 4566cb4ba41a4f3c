"""Networks: frozen backbones, converters between their feature spaces, the fusion head."""
