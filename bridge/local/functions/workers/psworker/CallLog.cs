// The lines that a call logs, and how many errors it wrote.
using System;
using System.Management.Automation;
using System.Threading;
using Microsoft.Azure.Functions.PowerShellWorker;

namespace Bridge.PowerShellWorker
{
    /// <summary>Where lines go: to the host, with the invocation they belong to.</summary>
    internal sealed class CallLog
    {
        private readonly Channel _channel;
        private readonly string _invocation;
        private int _errors;

        internal CallLog(Channel channel, string invocation)
        {
            _channel = channel;
            _invocation = invocation;
        }

        /// <summary>The number of error records that were written and not hidden.</summary>
        internal int Errors => _errors;

        internal void Write(string level, string text) => _channel.Send(json =>
        {
            json.WriteString("op", "log");
            json.WriteString("id", _invocation);
            json.WriteString("level", level);
            json.WriteString("text", text);
        });

        internal void Error(ErrorRecord record)
        {
            Interlocked.Increment(ref _errors);
            WriteHint(record);
            Write("error", $"ERROR: {ErrorText.Of(record)}");
        }

        internal void Exception(ErrorRecord record)
        {
            WriteHint(record);
            Write("error", $"EXCEPTION: {ErrorText.Of(record)}");
        }

        private void WriteHint(ErrorRecord record)
        {
            if (ErrorText.Hint(record) is string hint)
            {
                Write("warning", hint);
            }
        }
    }

    /// <summary>Sends what appears on the streams of a PowerShell object to the log of the call that runs in it.</summary>
    internal sealed class StreamLogs
    {
        /// <summary>The log of the call that runs now. What comes after a call, from an event or a job, still has its invocation.</summary>
        internal CallLog Current { get; set; }

        internal StreamLogs(PSDataStreams streams)
        {
            streams.Error.DataAdding += (_, each) => Current.Error((ErrorRecord)each.ItemAdded);
            streams.Warning.DataAdding += (_, each) => Current.Write("warning", $"WARNING: {((WarningRecord)each.ItemAdded).Message}");
            streams.Verbose.DataAdding += (_, each) => Current.Write("trace", $"VERBOSE: {((VerboseRecord)each.ItemAdded).Message}");
            streams.Debug.DataAdding += (_, each) => Current.Write("debug", $"DEBUG: {((DebugRecord)each.ItemAdded).Message}");
            streams.Progress.DataAdding += (_, each) => Current.Write("trace", $"PROGRESS: {((ProgressRecord)each.ItemAdded).StatusDescription}");
            streams.Information.DataAdding += (_, each) => Information((InformationRecord)each.ItemAdded);
        }

        private void Information(InformationRecord record)
        {
            bool output = record.Tags.Count == 1 && record.Tags[0] == TracePipelineObjectCommand.Tag;
            Current.Write("info", $"{(output ? "OUTPUT" : "INFORMATION")}: {record.MessageData}");
        }
    }
}
