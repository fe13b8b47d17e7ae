# Compiles C# files into a program with the compiler inside PowerShell: compile.ps1 -Source FILE -References FOLDER -Out PROGRAM.dll
param([string] $Source, [string] $References, [string] $Out)
$ErrorActionPreference = 'Stop'

$code = [IO.File]::ReadAllText($Source)
$tree = [Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree]::ParseText($code)
$own = Get-ChildItem $References -Filter *.dll | Where-Object BaseName -NotLike '*App'
$known = @{}
$libraries = foreach ($file in @($own) + @(Get-ChildItem "$PSHOME/ref" -Filter *.dll)) {
    if (-not $known.ContainsKey($file.Name)) {
        $known[$file.Name] = $true
        [Microsoft.CodeAnalysis.MetadataReference]::CreateFromFile($file.FullName)
    }
}
$options = [Microsoft.CodeAnalysis.CSharp.CSharpCompilationOptions]::new('ConsoleApplication')
$name = [IO.Path]::GetFileNameWithoutExtension($Out)
$compilation = [Microsoft.CodeAnalysis.CSharp.CSharpCompilation]::Create(
    $name, [Microsoft.CodeAnalysis.SyntaxTree[]]@($tree), [Microsoft.CodeAnalysis.MetadataReference[]]$libraries, $options)
$file = [IO.File]::Create($Out)
$result = $compilation.Emit($file)
$file.Dispose()
$result.Diagnostics | Where-Object Severity -EQ 'Error' | ForEach-Object { "$_" }
exit [int](-not $result.Success)
