# JSON in and out. A text that looks like a date stays that text in both directions, and what has no end or no JSON form is refused or shortened.

#: Levels of objects and arrays in each other, and values, that an output may have.
$script:DeepestOutput = 60
$script:LargestOutput = 1000000

function ConvertFrom-JsonText {
    # The value of a JSON text: objects become ordered dictionaries that ignore case where they can, arrays become arrays.
    param([string] $Text)
    $document = [System.Text.Json.JsonDocument]::Parse($Text)
    try { return , (ConvertFrom-JsonElement $document.RootElement) } finally { $document.Dispose() }
}

function ConvertFrom-JsonElement([System.Text.Json.JsonElement] $Element) {
    switch ($Element.ValueKind) {
        'Object' {
            $table = New-Table ([string[]] @(foreach ($property in $Element.EnumerateObject()) { $property.Name }))
            foreach ($property in $Element.EnumerateObject()) { $table[$property.Name] = ConvertFrom-JsonElement $property.Value }
            return $table
        }
        'Array' {
            $items = [System.Collections.Generic.List[object]]::new()
            foreach ($item in $Element.EnumerateArray()) { $items.Add((ConvertFrom-JsonElement $item)) }
            return , $items.ToArray()
        }
        'String' { return $Element.GetString() }
        'Number' { return ConvertFrom-JsonNumber $Element.GetRawText() }
        'True' { return $true }
        'False' { return $false }
    }
    return $null
}

function ConvertFrom-JsonNumber([string] $Text) {
    [long] $small = 0
    $invariant = [cultureinfo]::InvariantCulture
    if ([long]::TryParse($Text, [System.Globalization.NumberStyles]::AllowLeadingSign, $invariant, [ref] $small)) { return $small }
    if ($Text -match '^-?\d+$') { return [bigint]::Parse($Text, $invariant) }
    return [double]::Parse($Text, $invariant)
}

function New-Table([string[]] $Names) {
    # A dictionary in order. It ignores case unless two of the names differ in nothing else.
    $folded = [System.Collections.Generic.HashSet[string]]::new($Names, [System.StringComparer]::OrdinalIgnoreCase)
    $comparer = $folded.Count -eq $Names.Count ? [System.StringComparer]::OrdinalIgnoreCase : [System.StringComparer]::Ordinal
    return [System.Collections.Specialized.OrderedDictionary]::new($comparer)
}

function ConvertTo-JsonText {
    # One line of JSON for any value.
    param([AllowNull()] [object] $Value)
    return ConvertTo-Json -InputObject (ConvertTo-Plain $Value) -Depth 100 -Compress
}

function ConvertTo-Plain([object] $Value) {
    # The value as dictionaries, arrays and scalars, which are copies. Throws OutputTooLarge and OutputTooDeep.
    $above = [System.Collections.Generic.HashSet[object]]::new([System.Collections.Generic.ReferenceEqualityComparer]::Instance)
    return ConvertTo-PlainValue $Value @{ Left = $script:LargestOutput; Above = $above }
}

function ConvertTo-PlainValue([object] $Value, [hashtable] $Walk, [switch] $Shallow) {
    # The value as dictionaries, arrays and scalars. With -Shallow whatever is more than a scalar becomes its text: it belongs to a .NET object,
    # whose properties lead to other objects without an end.
    if ($null -eq $Value) { return $null }
    $base = $Value.psobject.BaseObject
    if (--$Walk.Left -lt 0) {
        $hint = 'Return a summary, or store the whole elsewhere and return its address.'
        throw (New-Failure 'OutputTooLarge' "The output has more than $script:LargestOutput values." $hint)
    }
    if ($base -is [string] -or $base.GetType().IsPrimitive -and $base -isnot [char]) { return $base }
    $isPlain = $base -is [System.Collections.IDictionary] -or $base -is [object[]] -or $base -is [System.Management.Automation.PSCustomObject]
    $scalar = $isPlain ? $null : (ConvertTo-ScalarText $base)
    if ($null -ne $scalar) { return $scalar }
    if ($base -is [decimal] -or $base -is [bigint]) { return $base }
    if ($base -is [switch]) { return [bool] $base }
    if ($base -is [System.DBNull]) { return $null }
    if ($Shallow) { return "$base" }
    if ($Walk.Above.Count -ge $script:DeepestOutput -or -not $Walk.Above.Add($base -is [System.Management.Automation.PSCustomObject] ? $Value : $base)) {
        $message = "The output is nested deeper than $script:DeepestOutput levels, or contains itself."
        throw (New-Failure 'OutputTooDeep' $message 'Return a plain table with the values that the caller needs.')
    }
    try { return ConvertTo-PlainContainer $Value $base $Walk }
    finally { [void] $Walk.Above.Remove(($base -is [System.Management.Automation.PSCustomObject] ? $Value : $base)) }
}

function ConvertTo-ScalarText([object] $Base) {
    # The text of a value that JSON has no form for; $null for any other.
    $exact = 'yyyy-MM-ddTHH:mm:ss.FFFFFFFK'
    if ($Base -is [datetime] -or $Base -is [System.DateTimeOffset]) { return $Base.ToString($exact, [cultureinfo]::InvariantCulture) }
    if ($Base -is [System.DateOnly] -or $Base -is [System.TimeOnly]) { return $Base.ToString('O', [cultureinfo]::InvariantCulture) }
    if ($Base -is [timespan]) { return $Base.ToString('c') }
    if ($Base -is [enum] -or $Base -is [guid] -or $Base -is [uri] -or $Base -is [version] -or $Base -is [type] -or $Base -is [char] -or
        $Base -is [ipaddress] -or $Base -is [semver] -or $Base -is [scriptblock]) { return "$Base" }
    if ($Base -is [byte[]]) { return [System.Convert]::ToBase64String($Base) }
    if ($Base -is [securestring] -or $Base -is [pscredential]) { return '(secret)' }
    if ($Base -is [System.Management.Automation.ErrorRecord]) { return $Base.Exception.Message }
    if ($Base -is [System.Exception]) { return $Base.Message }
    if ($Base -is [xml] -or $Base -is [System.Xml.XmlNode]) { return $Base.OuterXml }
    return $null
}

function ConvertTo-PlainContainer([object] $Value, [object] $Base, [hashtable] $Walk) {
    if ($Base -is [System.Collections.IDictionary]) {
        $table = New-Table ([string[]] @($Base.Keys))
        foreach ($entry in $Base.GetEnumerator()) {
            $item = $entry.Value  # texts and numbers are most of what there is, so they go without a call
            $table["$($entry.Key)"] = $item -is [string] ? [string] $item : ($item -is [long] ? $item : (ConvertTo-PlainValue $item $Walk))
        }
        return $table
    }
    if ($Base -is [System.Collections.IEnumerable]) {
        $items = [System.Collections.Generic.List[object]]::new()
        foreach ($item in $Base) { $items.Add(($item -is [string] ? [string] $item : ($item -is [long] ? $item : (ConvertTo-PlainValue $item $Walk)))) }
        return , $items.ToArray()
    }
    $known = $Base -is [System.Management.Automation.PSCustomObject]
    $properties = @($Value.psobject.Properties)
    $table = New-Table ([string[]] @(foreach ($property in $properties) { $property.Name }))
    foreach ($property in $properties) {
        $content = $null
        try { $content = $property.Value } catch { Write-Debug "$($property.Name) cannot be read." }  # for example of a process that has ended
        $table[$property.Name] = ConvertTo-PlainValue $content $Walk -Shallow:(-not $known)
    }
    return $table
}
