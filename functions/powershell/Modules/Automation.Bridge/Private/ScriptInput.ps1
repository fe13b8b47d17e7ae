# An input on the parameters of a script that knows nothing of the bridge.

#: Every advanced script has these; they are the caller's, not the input's. WhatIf is taken where the script declares SupportsShouldProcess.
$script:NotInput = [System.Management.Automation.Cmdlet]::CommonParameters + 'Confirm'
$script:Unfit = [pscredential], [securestring], [scriptblock]

function Get-ScriptArguments([string] $Path, [object] $Value) {
    # What to splat on the script. Throws InvalidInput, which names the fields and never their values.
    $command = Get-ScriptCommand $Path
    if ($null -eq $Value) { $Value = @{} }
    if ($Value -isnot [System.Collections.IDictionary]) {
        throw (New-Failure 'InvalidInput' 'The input must be a JSON object.' "Its fields are the parameters of $($command.Name).")
    }
    $known = @($command.Parameters.Values.Where({ $_.Name -notin $script:NotInput }))
    $unknown = @(@($Value.Keys).Where({ $_ -notin $known.Name }))
    if ($unknown) {
        $names = $known.Count ? "It takes $($known.Name -join ', ')." : 'It takes no input.'
        throw (New-Failure 'InvalidInput' "$($command.Name) has no parameter $(($unknown.ForEach({ Limit-Text $_ })) -join ', ')." $names)
    }
    $splat = @{}
    foreach ($name in @($Value.Keys)) {
        if ($splat.ContainsKey($name)) {
            throw (New-Failure 'InvalidInput' "The input has the field $(Limit-Text $name) twice." 'Letter case makes no difference.')
        }
        $splat[$name] = $Value[$name]
    }
    Test-ScriptArguments $command $known $splat
    return $splat
}

function Get-ScriptCommand([string] $Path) {
    if (-not [System.IO.File]::Exists($Path)) {
        $hint = 'Write the path with $PSScriptRoot. On Linux letter case counts.'
        throw (New-Failure 'NoScript' "There is no script $([System.IO.Path]::GetFileName($Path))." $hint)
    }
    $mistakes = $null
    [void] [System.Management.Automation.Language.Parser]::ParseFile($Path, [ref] $null, [ref] $mistakes)
    if ($mistakes) {
        $first = $mistakes[0]
        throw (New-Failure 'SyntaxError' "$($first.Message) ($([System.IO.Path]::GetFileName($Path)), line $($first.Extent.StartLineNumber))")
    }
    return Get-Command -Name $Path -CommandType ExternalScript
}

function Test-ScriptArguments([object] $Command, [object[]] $Known, [hashtable] $Splat) {
    foreach ($parameter in $Known) {
        $given = $Splat.ContainsKey($parameter.Name)
        if ($given -and $parameter.ParameterType -in $script:Unfit) {
            $message = "The parameter $($parameter.Name) is a [$($parameter.ParameterType.Name)], which JSON has no form for."
            throw (New-Failure 'InvalidInput' $message 'Let the script read it from a key vault or an app setting.')
        }
        $everywhere = $parameter.ParameterSets['__AllParameterSets']
        if (-not $given -and $null -ne $everywhere -and $everywhere.IsMandatory) {
            throw (New-Failure 'InvalidInput' "The input has no $($parameter.Name), and $($Command.Name) needs it." "Send {`"$($parameter.Name)`": ...}.")
        }
    }
}

function Test-BindingFailure([System.Management.Automation.ErrorRecord] $Record, [string] $Path) {
    # Whether the script refused its own parameters, so that the input is wrong and not the work.
    if ($Record.Exception -isnot [System.Management.Automation.ParameterBindingException]) { return $false }
    $command = $Record.Exception.CommandInvocation.MyCommand
    return $command -is [System.Management.Automation.ExternalScriptInfo] -and $command.Path -eq $Path
}
