# text.redact: an ordinary HTTP function. It knows nothing of the bridge; functions/automations.yaml says how it is called.
using namespace System.Net

param($Request, $TriggerMetadata)

$patterns = [ordered]@{
    privateKey       = '-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)'
    connectionString = '(?i)(?<=\b(?:SharedAccessKey|AccountKey|Pwd)\s{0,5}=\s{0,5})[^;\s"'']+'
    bearerToken      = '(?i)\bbearer\s+[A-Za-z0-9._~+/-]{8,}=*'
    webToken         = '\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*'
    urlPassword      = '(?<=://[^/\s:@]{1,200}:)[^/\s@]{1,200}(?=@)'
    namedSecret      = '(?i)(?<=\b(?:api[_-]?key|secret|token|password)["'']?\s{0,5}[:=]\s{0,5}["'']?)[^\s"'',;]{4,}'
}

$text = $Request.Body.text
if ($text -isnot [string]) {
    Push-OutputBinding -Name Response -Value ([HttpResponseContext]@{
            StatusCode  = [HttpStatusCode]::UnprocessableEntity
            ContentType = 'application/json'
            Body        = '{"code": "InvalidInput", "message": "`text` must be a text. Send {\"text\": \"...\"}."}'
        })
    return
}

$found = [ordered]@{}
foreach ($name in $patterns.Keys) {
    # A limit on the time, because the text is a stranger's.
    $pattern = [regex]::new($patterns[$name], 'None', [timespan]::FromSeconds(2))
    $count = $pattern.Matches($text).Count
    if ($count) {
        $found[$name] = $count
        $text = $pattern.Replace($text, "[$name]")
    }
}
Write-Information "Redacted: $($found.Count ? ($found.Keys -join ', ') : 'nothing')."
Push-OutputBinding -Name Response -Value ([HttpResponseContext]@{
        StatusCode  = [HttpStatusCode]::OK
        ContentType = 'application/json'
        Body        = ConvertTo-Json -InputObject ([ordered]@{ text = $text; redacted = $found })
    })
