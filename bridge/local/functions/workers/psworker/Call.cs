// One invocation, from the host's message to the answer.
using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Management.Automation;
using System.Text.Json;
using System.Threading;
using Microsoft.Azure.Functions.PowerShellWorker;

namespace Bridge.PowerShellWorker
{
    /// <summary>An invocation that waits or runs. It is answered once.</summary>
    internal sealed class Call
    {
        /// <summary>The longest time to make the values for the host.</summary>
        private static readonly TimeSpan s_conversion = TimeSpan.FromSeconds(10);

        private readonly Channel _channel;
        private readonly JsonElement _order;
        private readonly CancellationTokenSource _stop = new();
        private int _answered;

        internal string Id { get; }
        internal FunctionScript Function { get; }
        internal CallLog Log { get; }
        internal OutputBindings Bindings { get; }
        internal CancellationToken Stopped => _stop.Token;

        internal Call(Channel channel, JsonElement order, FunctionScript function)
        {
            _channel = channel;
            _order = order;
            Id = order.GetProperty("id").GetString();
            Function = function;
            Log = new CallLog(channel, Id);
            Bindings = new OutputBindings(function.Outputs);
        }

        /// <summary>Whether the time has passed after which the call may not start.</summary>
        internal bool IsLate =>
            _order.TryGetProperty("deadline", out JsonElement deadline) && deadline.ValueKind == JsonValueKind.Number
            && (DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).TotalSeconds >= deadline.GetDouble();

        /// <summary>Asks the call to end; whoever runs it has registered what that takes.</summary>
        internal void Stop() => _stop.Cancel();

        /// <summary>The arguments, by parameter. An input that the host did not send is left out, so that the script's default holds.</summary>
        internal Dictionary<string, object> Arguments()
        {
            var arguments = new Dictionary<string, object>(StringComparer.OrdinalIgnoreCase);
            JsonElement trigger = _order.GetProperty("trigger");
            if (trigger.TryGetProperty("value", out JsonElement value))
            {
                Add(arguments, trigger.GetProperty("name").GetString(), value);
            }
            if (_order.TryGetProperty("inputs", out JsonElement inputs))
            {
                foreach (JsonProperty input in inputs.EnumerateObject())
                {
                    Add(arguments, input.Name, input.Value);
                }
            }
            AddContexts(arguments, trigger);
            return arguments;
        }

        private void Add(Dictionary<string, object> arguments, string name, JsonElement value)
        {
            if (Function.Takes(name))
            {
                arguments[name] = Function.Argument(name, IncomingValue.Read(value));
            }
        }

        private void AddContexts(Dictionary<string, object> arguments, JsonElement trigger)
        {
            if (Function.Takes(FunctionScript.TriggerMetadata))
            {
                arguments[FunctionScript.TriggerMetadata] = Metadata(trigger);
            }
            if (Function.Takes(FunctionScript.TraceContext))
            {
                arguments[FunctionScript.TraceContext] = Trace(_order.GetProperty("trace"));
            }
            if (Function.Takes(FunctionScript.RetryContext))
            {
                arguments[FunctionScript.RetryContext] = Retry();
            }
        }

        /// <summary>Of two names that differ only in letter case the first stays. `{trigger: true}` stands for the trigger's own value.</summary>
        private Hashtable Metadata(JsonElement trigger)
        {
            var metadata = new Hashtable(StringComparer.OrdinalIgnoreCase);
            trigger.TryGetProperty("value", out JsonElement own);
            foreach (JsonProperty each in trigger.GetProperty("metadata").EnumerateObject())
            {
                if (!metadata.ContainsKey(each.Name))
                {
                    metadata[each.Name] = IncomingValue.Read(IsTrigger(each.Value) ? own : each.Value);
                }
            }
            AddUnlessThere(metadata, "InvocationId", Id);
            AddUnlessThere(metadata, "FunctionDirectory", Function.Folder);
            AddUnlessThere(metadata, "FunctionName", Function.Name);
            return metadata;
        }

        private static bool IsTrigger(JsonElement value) => value.ValueKind == JsonValueKind.Object && value.TryGetProperty("trigger", out _);

        private static void AddUnlessThere(Hashtable metadata, string name, string value)
        {
            if (!metadata.ContainsKey(name))
            {
                metadata[name] = value;
            }
        }

        private static TraceContext Trace(JsonElement sent)
        {
            var trace = new TraceContext { Traceparent = sent.GetProperty("parent").GetString(), Tracestate = sent.GetProperty("state").GetString() };
            if (sent.TryGetProperty("attributes", out JsonElement attributes))
            {
                foreach (JsonProperty each in attributes.EnumerateObject())
                {
                    trace.Attributes[each.Name] = each.Value.GetString();
                }
            }
            return trace;
        }

        private RetryContext Retry()
        {
            if (!_order.TryGetProperty("retry", out JsonElement sent) || sent.ValueKind == JsonValueKind.Null)
            {
                // Azure fails such a call with this text, because only a function with a retry policy is sent the context.
                throw new InvalidOperationException("Object reference not set to an instance of an object.");
            }
            return new RetryContext
            {
                RetryCount = sent.GetProperty("count").GetInt32(),
                MaxRetryCount = sent.GetProperty("maximum").GetInt32(),
                Exception = new RetryException { Message = sent.GetProperty("message").GetString(), Source = sent.GetProperty("source").GetString() },
            };
        }

        /// <summary>Answers with what the function has pushed.</summary>
        internal void Succeed()
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
            limit.CancelAfter(s_conversion);
            Answer(true, json =>
            {
                json.WriteStartObject("outputs");
                foreach (KeyValuePair<string, string> binding in Function.Outputs)
                {
                    if (Bindings.Values[binding.Key] is object value)
                    {
                        json.WritePropertyName(binding.Key);
                        OutgoingValue.Write(json, value, binding.Value, binding.Key, limit.Token);
                    }
                }
                json.WriteEndObject();
            });
        }

        internal void Fail(Exception failure) => Answer(false, json => Failure.Write(json, failure, Path.GetDirectoryName(Function.Folder)));

        internal void FailLate() => Answer(false, Failure.WriteLate);

        internal void FailStopped() => Answer(false, Failure.WriteStopped);

        private void Answer(bool ok, Action<Utf8JsonWriter> rest)
        {
            Action<Utf8JsonWriter> message = json =>
            {
                json.WriteString("op", "done");
                json.WriteString("id", Id);
                json.WriteBoolean("ok", ok);
                json.WriteNumber("errorsWritten", Log.Errors);
                rest(json);
            };
            if (Volatile.Read(ref _answered) == 0)
            {
                _channel.Send(message);
                Volatile.Write(ref _answered, 1);
            }
        }
    }
}
