# Runs once for each runspace. An error of a cmdlet ends the call and becomes the error of its run, instead of a success that did nothing.
$ErrorActionPreference = 'Stop'
