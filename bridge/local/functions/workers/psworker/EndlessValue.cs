// Values whose JSON never ends.
using System;
using System.Collections;
using System.Data;
using System.IO;
using System.Linq;
using System.Management.Automation;
using System.Management.Automation.Language;
using System.Reflection;

namespace Bridge.PowerShellWorker
{
    /// <summary>
    /// Finds values that lead to large parts of the process: their JSON down to the usual depth takes minutes and all memory, and Azure never answers
    /// such a call. What is not found here is ended by the limit on time.
    /// </summary>
    internal static class EndlessValue
    {
        internal const string Advice = "Push the properties that are wanted instead, for example with Select-Object.";

        private static readonly Type[] s_types =
        {
            typeof(MemberInfo), typeof(Assembly), typeof(Module), typeof(ScriptBlock), typeof(Ast), typeof(CommandInfo), typeof(EngineIntrinsics),
            typeof(FileSystemInfo), typeof(DataTable), typeof(DataRow),
        };

        /// <summary>Raises if the value, or one that it holds in tables and lists, is of such a type.</summary>
        internal static void Refuse(object value, int depth)
        {
            object inner = value is PSObject wrapped ? wrapped.BaseObject : value;
            if (inner is null or string || inner.GetType().IsPrimitive || depth < 0)
            {
                return;
            }
            if (s_types.Any(each => each.IsInstanceOfType(inner)))
            {
                throw new InvalidOperationException($"A value of type '{inner.GetType()}' cannot be sent: JSON of it has no end. {Advice}");
            }
            foreach (object held in Held(value, inner))
            {
                Refuse(held, depth - 1);
            }
        }

        private static IEnumerable Held(object value, object inner) => inner switch
        {
            IDictionary table => table.Values,
            byte[] => Array.Empty<object>(),
            ICollection list => list,
            PSCustomObject => ((PSObject)value).Properties.OfType<PSNoteProperty>().Select(each => each.Value),
            _ => Array.Empty<object>(),
        };
    }
}
