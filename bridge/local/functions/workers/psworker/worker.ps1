<#
.SYNOPSIS
Runs the functions of a PowerShell app for the functions host.
.DESCRIPTION
The worker itself is C#, in the files beside this one: its commands and types must be compiled for scripts to see what they see on Azure, and nothing
that is called from another thread can be a script block. It is compiled once for each version of it and of PowerShell and kept in the user's cache,
because compiling takes half a second and loading what was compiled takes a hundredth of that.

Every .NET call that a script makes for the first time costs the start a few milliseconds, so the host does here what it can.
.PARAMETER Version
What tells one version of the C# files from another.
#>
param([string] $Version)
$ErrorActionPreference = 'Stop'
if ($PSVersionTable.PSVersion -lt [version]'7.4') {
    [Console]::Error.WriteLine("This is PowerShell $($PSVersionTable.PSVersion); the functions need 7.4 or later. BRIDGE_PWSH may name another one.")
    exit 1
}
$name = 'Microsoft.Azure.Functions.PowerShellWorker'  # scripts find the commands in the module of this name
$cache = if ($env:XDG_CACHE_HOME) { $env:XDG_CACHE_HOME } else { "$HOME/.cache" }
$folder = "$cache/automation-bridge/powershell/$Version-$($PSVersionTable.GitCommitId)/$name"

function New-WorkerAssembly([string] $Folder) {
    # Another worker may compile at the same time; whoever renames first has made the one that all use.
    $draft = [IO.Path]::Combine([IO.Path]::GetDirectoryName($Folder), "draft-$PID")
    [void][IO.Directory]::CreateDirectory($draft, [IO.UnixFileMode]'UserRead, UserWrite, UserExecute')
    $library = [IO.Path]::Combine($draft, "$name.dll")
    $references = [IO.Directory]::GetFiles([IO.Path]::Combine($PSHOME, 'ref'), '*.dll') +
        ('System.Management.Automation', 'Microsoft.PowerShell.Commands.Utility', 'Newtonsoft.Json').ForEach({ [IO.Path]::Combine($PSHOME, "$_.dll") })
    $sources = [IO.Directory]::GetFiles($PSScriptRoot, '*.cs')
    Add-Type -Path $sources -ReferencedAssemblies $references -OutputAssembly $library -CompilerOptions '-optimize+', '-nowarn:1701' -IgnoreWarnings
    try { [IO.Directory]::Move($draft, $Folder) } catch [IO.IOException] { [IO.Directory]::Delete($draft, $true) }
}

if (-not [IO.File]::Exists("$folder/$name.dll")) { New-WorkerAssembly $folder }
if ([IO.File]::GetUnixFileMode($folder) -band [IO.UnixFileMode]'GroupWrite, OtherWrite') {
    throw "Others may write into $folder, so what lies there is not run. Remove it, or let XDG_CACHE_HOME name a folder of your own."
}
[void][Reflection.Assembly]::LoadFrom("$folder/$name.dll")
[Bridge.PowerShellWorker.Worker]::Run()
