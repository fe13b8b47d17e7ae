# The function behind the topic `pair`. In a file it counts, a line for each time, what it was given, as ../../worker does.
param($message)

# An event that was sent for another attempt has another time in it.
Add-Line "$env:EFFECTS.scripts" "$($message['id']) $(([datetime] $message['time']).ToString('o'))"
Invoke-Automation $message { param($in) @{ did = $in['do'] } }
