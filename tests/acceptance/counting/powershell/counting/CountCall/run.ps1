param($Request)

$counted = Invoke-Counted $Request.Headers['x-invocation-id'] $Request.Headers['x-attempt'] $Request.Body
Push-OutputBinding -Name Response -Value @{ Body = $counted }
