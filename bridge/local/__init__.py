"""Azure on a laptop: stand-ins for the services that functions need around them."""
