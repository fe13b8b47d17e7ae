// Error records as text.
using System.Management.Automation;
using System.Text;

namespace Bridge.PowerShellWorker
{
    /// <summary>
    /// Message and place of an error. Azure adds what Get-Error shows, which takes a tenth of a second of a processor for each record; where it
    /// happened is what an author needs of that.
    /// </summary>
    internal static class ErrorText
    {
        private const int Longest = 1024 * 1024;  // characters
        private const string NotFoundAdvice = "Make sure this module is compatible with PowerShell 7."
            + " For more details, see https://aka.ms/functions-powershell-managed-dependency.";

        internal static string Of(ErrorRecord record)
        {
            var text = new StringBuilder(record.Exception.Message);
            text.Append('\n').Append(record.CategoryInfo.Category).Append(", ").Append(record.FullyQualifiedErrorId);
            if (!string.IsNullOrEmpty(record.InvocationInfo?.PositionMessage))
            {
                text.Append('\n').Append(record.InvocationInfo.PositionMessage);
            }
            if (!string.IsNullOrEmpty(record.ScriptStackTrace))
            {
                text.Append('\n').Append(record.ScriptStackTrace);
            }
            return text.Length <= Longest ? text.ToString() : text.ToString(0, Longest) + "...";
        }

        /// <summary>What Azure advises where a command or a module is missing; null for other errors.</summary>
        internal static string Hint(ErrorRecord record)
        {
            switch (record.FullyQualifiedErrorId)
            {
                case "CommandNotFoundException":
                    return $"The Function app may be missing a module containing the '{record.CategoryInfo.TargetName}' command definition."
                        + " If this command belongs to a module available on the PowerShell Gallery, add a reference to this module to requirements.psd1."
                        + $" {NotFoundAdvice} If the module is installed but you are still getting this error, try to import the module explicitly by"
                        + " invoking Import-Module just before the command that produces the error: this will not fix the issue but will expose the"
                        + " root cause.";
                case "Modules_ModuleNotFound,Microsoft.PowerShell.Commands.ImportModuleCommand":
                    return $"The Function app may be missing the '{record.TargetObject}' module. If '{record.TargetObject}' is available on the"
                        + $" PowerShell Gallery, add a reference to this module to requirements.psd1. {NotFoundAdvice}";
                default:
                    return null;
            }
        }
    }
}
