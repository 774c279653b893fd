"""From rows of lights to scores: version resolution, decoding, prediction, encoding."""
