"""A host that runs function apps as Azure would, without Azure."""
