"""The stages of distillation: converters, fusion, evaluation."""
