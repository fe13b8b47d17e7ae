"""New automations: the files of one that works at once, or the catalogue entry of a function that exists (`bridge new automation`)."""
