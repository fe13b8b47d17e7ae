// How a failed call is described to the host.
using System;
using System.Collections;
using System.IO;
using System.Management.Automation;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Bridge.PowerShellWorker
{
    /// <summary>
    /// Writes `error: {message, stack, code, text, hint?, retriable?}`. `message` and `stack` are for the log, the others are what a caller is
    /// told. An author says them by what is thrown, for example `throw @{ code = 'NoSuchUser'; message = '…'; hint = '…'; retriable = $false }`.
    /// </summary>
    internal static class Failure
    {
        private static readonly Regex s_identifier = new(@"^[A-Za-z_][\w.-]*$");

        internal static void Write(Utf8JsonWriter json, Exception failure, string appFolder)
        {
            ErrorRecord record = (failure as RuntimeException)?.ErrorRecord;
            json.WriteStartObject("error");
            json.WriteString("message", failure.Message);
            json.WriteString("stack", record?.ScriptStackTrace ?? "");
            json.WriteString("code", Said(failure, record, "code") as string ?? Code(failure, record));
            json.WriteString("text", (Said(failure, record, "message") as string ?? record?.Exception?.Message ?? failure.Message) + Place(record, appFolder));
            if (Said(failure, record, "hint") is string hint)
            {
                json.WriteString("hint", hint);
            }
            if (Said(failure, record, "retriable") is false)
            {
                json.WriteBoolean("retriable", false);
            }
            json.WriteEndObject();
        }

        internal static void WriteStopped(Utf8JsonWriter json)
        {
            json.WriteStartObject("error");
            json.WriteString("message", "it was stopped");
            json.WriteString("stack", "");
            json.WriteString("code", "Stopped");
            json.WriteString("text", "The function was stopped.");
            json.WriteEndObject();
        }

        internal static void WriteLate(Utf8JsonWriter json)
        {
            json.WriteBoolean("late", true);
            json.WriteStartObject("error");
            json.WriteString("message", "its deadline passed before it could start");
            json.WriteString("stack", "");
            json.WriteEndObject();
        }

        /// <summary>What the author has put under this name into the object that was thrown, or into the data of the exception.</summary>
        private static object Said(Exception failure, ErrorRecord record, string name)
        {
            object found = Entry(failure.Data, name) ?? Entry(record?.Exception?.Data, name);
            object thrown = record?.TargetObject is PSObject wrapped ? wrapped.BaseObject : record?.TargetObject;
            found ??= thrown is IDictionary table ? Entry(table, name) : null;
            found ??= thrown is PSCustomObject ? PSObject.AsPSObject(record.TargetObject).Properties[name]?.Value : null;
            return found is PSObject inner ? inner.BaseObject : found;
        }

        private static object Entry(IDictionary table, string name)
        {
            foreach (DictionaryEntry entry in table ?? new Hashtable())
            {
                if (string.Equals(entry.Key as string, name, StringComparison.OrdinalIgnoreCase))
                {
                    return entry.Value;
                }
            }
            return null;
        }

        /// <summary>The error id without what the engine adds to it; the class of the exception where a script has thrown text, which is its own id.</summary>
        private static string Code(Exception failure, ErrorRecord record)
        {
            string id = (record?.FullyQualifiedErrorId ?? "").Split(',')[0];
            Exception cause = record?.Exception ?? failure;
            return id != failure.Message && s_identifier.IsMatch(id) ? id[(id.LastIndexOf('.') + 1)..] : cause.GetType().Name;
        }

        private static string Place(ErrorRecord record, string appFolder)
        {
            string script = record?.InvocationInfo?.ScriptName;
            return string.IsNullOrEmpty(script) ? "" : $" ({Path.GetRelativePath(appFolder, script)}, line {record.InvocationInfo.ScriptLineNumber})";
        }
    }
}
