"""The feed from Azure Service Bus, or from what speaks its protocol, such as the bridge's own queue."""
