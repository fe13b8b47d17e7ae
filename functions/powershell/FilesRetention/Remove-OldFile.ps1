<#
.SYNOPSIS
Finds files that were not changed for some days, and removes them.
.DESCRIPTION
Only files below the folder that RETENTION_ROOT names. Nothing is removed unless -WhatIf:$false is given. Symbolic links are neither followed nor removed.
.PARAMETER Path
A folder below the root, such as logs/web.
.PARAMETER OlderThanDays
Files whose last change is longer ago.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Path,
    [Parameter(Mandatory)] [ValidateRange(1, 36500)] [int] $OlderThanDays
)
$ErrorActionPreference = 'Stop'
$WhatIfPreference = $PSBoundParameters.ContainsKey('WhatIf') ? [bool] $PSBoundParameters['WhatIf'] : $true

function Resolve-Folder([string] $Root, [string] $Path) {
    # The folder, each part of which is a real one. A part that is a link could lead anywhere, even if it is below the root today.
    if (-not $Root) {
        throw @{ code = 'NoRoot'; message = 'RETENTION_ROOT is not set.'; hint = 'Set it to the folder below which files may be removed.' }
    }
    $parts = $Path.Split([char[]] '/\')
    if ([IO.Path]::IsPathRooted($Path) -or $Path.Contains(':') -or $parts -contains '..' -or $parts -contains '.') {
        throw @{ code = 'PathRefused'; message = 'The path must be relative and without . and .. in it.'; hint = 'Write it from the root on, such as logs/web.' }
    }
    $folder = [IO.DirectoryInfo] [IO.Path]::GetFullPath($Root)
    foreach ($part in $parts.Where({ $_ })) {
        $folder = [IO.DirectoryInfo] [IO.Path]::Combine($folder.FullName, $part)
        if ($folder.LinkTarget) {
            $hint = 'Name the folder that it leads to, if that is below the root.'
            throw @{ code = 'PathRefused'; message = "$part is a symbolic link."; hint = $hint }
        }
    }
    if (-not $folder.Exists) { throw @{ code = 'NoSuchFolder'; message = "There is no folder $Path below the root." } }
    return $folder
}

$folder = Resolve-Folder $env:RETENTION_ROOT $Path
$limit = [datetime]::UtcNow.AddDays(-$OlderThanDays)
$plain = [IO.EnumerationOptions]@{ RecurseSubdirectories = $true; IgnoreInaccessible = $true; AttributesToSkip = 'ReparsePoint' }
$old = @($folder.EnumerateFiles('*', $plain).Where({ $_.LastWriteTimeUtc -lt $limit }))
$listed = @($old | Select-Object -First 100 | ForEach-Object {
        [ordered]@{ file = [IO.Path]::GetRelativePath($folder.FullName, $_.FullName); bytes = $_.Length; changedAt = $_.LastWriteTimeUtc }
    })
$removed = 0
$bytes = 0L
$failed = [Collections.Generic.List[object]]::new()
for ($number = 0; $number -lt $old.Count; $number++) {
    $file = $old[$number]
    $name = [IO.Path]::GetRelativePath($folder.FullName, $file.FullName)
    Write-Progress -Activity 'Old files' -Status "$number of $($old.Count)" -PercentComplete (100 * $number / $old.Count)
    if (-not $PSCmdlet.ShouldProcess($name, 'Remove')) { continue }
    try {
        $bytes += $file.Length
        $file.Delete()
        $removed++
    }
    catch { $failed.Add([ordered]@{ file = $name; reason = $_.Exception.GetBaseException().GetType().Name }) }
}
[ordered]@{
    whatIf  = [bool] $WhatIfPreference
    found   = $old.Count
    removed = $removed
    bytes   = $bytes
    failed  = @($failed)
    files   = $listed  # the first hundred
}
