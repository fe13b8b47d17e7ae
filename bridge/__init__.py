"""One front door for hundreds of automations."""
