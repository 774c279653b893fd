"""Training by gradient descent: from a dataset and a recipe to a network."""
