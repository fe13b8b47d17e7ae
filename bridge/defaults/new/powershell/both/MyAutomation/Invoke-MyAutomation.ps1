# my.automation: how many words a text has. Put your own work here: each field of the input is a parameter, and what is written is the output.
param(
    [Parameter(Mandatory)] [string] $text
)

@{ words = @(-split $text).Count }
