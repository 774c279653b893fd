"""How a network learns: gradient descent over a dataset, as a recipe says."""
