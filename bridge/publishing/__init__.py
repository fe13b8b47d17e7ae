"""The zip that a function app is published to Azure with (`bridge functions package`)."""
