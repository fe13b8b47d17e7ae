// The values that the running call of a runspace has pushed, and the rules for pushing more.
using System;
using System.Collections;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Management.Automation;

namespace Bridge.PowerShellWorker
{
    /// <summary>Output bindings of one call. Commands find those of their own runspace by its id.</summary>
    internal sealed class OutputBindings
    {
        /// <summary>Types that take many values. The comparison is Azure's: a type in other letter case takes one.</summary>
        private static readonly HashSet<string> s_collections = new(StringComparer.Ordinal)
        {
            "excel", "table", "queue", "eventHub", "documentDB", "mobileTable", "serviceBus", "signalR", "twilioSms", "graphWebhookSubscription",
        };

        private static readonly ConcurrentDictionary<Guid, OutputBindings> s_running = new();

        private readonly IReadOnlyDictionary<string, string> _types;

        internal OutputBindings(IReadOnlyDictionary<string, string> types) => _types = types;

        internal Hashtable Values { get; } = new(StringComparer.OrdinalIgnoreCase);

        internal static void Begin(Guid runspace, OutputBindings bindings) => s_running[runspace] = bindings;

        internal static void End(Guid runspace) => s_running.TryRemove(runspace, out _);

        /// <summary>The bindings of the call that runs in this runspace; null in a runspace that a script has made.</summary>
        internal static OutputBindings Of(Guid runspace) => s_running.TryGetValue(runspace, out OutputBindings found) ? found : null;

        /// <summary>The type of a binding, null if there is none of that name.</summary>
        internal string TypeOf(string name) => _types.TryGetValue(name, out string type) ? type : null;

        /// <summary>Adds a value; false if the binding has one already and takes only one.</summary>
        internal bool Push(string name, object value, bool clobber)
        {
            if (s_collections.Contains(_types[name]))
            {
                Values[name] = Merged(clobber ? null : Values[name], value);
                return true;
            }
            if (Values[name] != null && !clobber)
            {
                return false;
            }
            Values[name] = value;
            return true;
        }

        private static object Merged(object earlier, object added)
        {
            IEnumerable items = LanguagePrimitives.GetEnumerable(added);
            if (earlier == null && items == null)
            {
                return added;
            }
            var list = earlier as List<object> ?? (earlier == null ? new List<object>() : new List<object> { earlier });
            if (items == null)
            {
                list.Add(added);
                return list;
            }
            foreach (object item in items)
            {
                list.Add(item);
            }
            return list;
        }
    }
}
