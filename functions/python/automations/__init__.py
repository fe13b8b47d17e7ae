"""What the automations do: plain functions from an input to an output, without Azure, network or clock."""
