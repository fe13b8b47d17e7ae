// The variables and the location that profile.ps1 left, so that a call that changed them does not change them for the next one.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace Bridge.PowerShellWorker
{
    /// <summary>What `Restore` brings back. Functions, aliases, modules, the environment and .NET statics stay as calls leave them.</summary>
    internal sealed class RunspaceState
    {
        private const string Errors = "Error";

        private readonly SessionStateProxy _session;
        private readonly Dictionary<string, Saved> _variables = new(StringComparer.OrdinalIgnoreCase);
        private readonly PathInfo _location;

        private sealed record Saved(object Value, Dictionary<object, object> Entries);

        internal RunspaceState(Runspace runspace)
        {
            _session = runspace.SessionStateProxy;
            _location = _session.Path.CurrentLocation;
            foreach (PSVariable variable in Variables())
            {
                _variables[variable.Name] = new Saved(variable.Value, Copy(variable.Value));
            }
        }

        internal void Restore()
        {
            foreach (PSVariable variable in Variables())
            {
                if (_variables.TryGetValue(variable.Name, out Saved saved))
                {
                    Restore(variable, saved);
                }
                else if (IsOrdinary(variable))
                {
                    Remove(variable);
                }
            }
            if (!ReferenceEquals(_session.Path.CurrentLocation, _location) && _session.Path.CurrentLocation.Path != _location.Path)
            {
                _session.Path.SetLocation(_location.Path);
            }
        }

        private void Remove(PSVariable variable)
        {
            if (variable.Options.HasFlag(ScopedItemOptions.ReadOnly))
            {
                _session.InvokeProvider.Item.Remove(new[] { $@"Variable:\{variable.Name}" }, recurse: false, force: true, literalPath: true);
            }
            else
            {
                _session.PSVariable.Remove(variable);
            }
        }

        private IEnumerable<PSVariable> Variables()
        {
            foreach (PSObject item in _session.InvokeProvider.ChildItem.Get(@"Variable:\", recurse: false))
            {
                if (item.BaseObject is PSVariable variable)
                {
                    yield return variable;
                }
            }
        }

        /// <summary>Constants cannot be removed; what a module exports and what PowerShell itself computes is not a call's.</summary>
        private static bool IsOrdinary(PSVariable variable) =>
            !variable.Options.HasFlag(ScopedItemOptions.Constant) && variable.Module == null && variable.GetType() == typeof(PSVariable);

        private static void Restore(PSVariable variable, Saved saved)
        {
            if (variable.Name == Errors)
            {
                (variable.Value as ArrayList)?.Clear();
                return;
            }
            if ((variable.Options & (ScopedItemOptions.Constant | ScopedItemOptions.ReadOnly)) == 0 && IsOrdinaryValue(variable) && !Equals(variable.Value, saved.Value))
            {
                variable.Value = saved.Value;
            }
            if (saved.Entries != null && saved.Value is IDictionary table && !Same(table, saved.Entries))
            {
                table.Clear();
                foreach (KeyValuePair<object, object> entry in saved.Entries)
                {
                    table[entry.Key] = entry.Value;
                }
            }
        }

        private static bool IsOrdinaryValue(PSVariable variable) => variable.Module == null;

        private static Dictionary<object, object> Copy(object value)
        {
            if (value is not IDictionary table || table.IsReadOnly)
            {
                return null;
            }
            var copy = new Dictionary<object, object>();
            foreach (DictionaryEntry entry in table)
            {
                copy[entry.Key] = entry.Value;
            }
            return copy;
        }

        private static bool Same(IDictionary table, Dictionary<object, object> entries)
        {
            if (table.Count != entries.Count)
            {
                return false;
            }
            foreach (KeyValuePair<object, object> entry in entries)
            {
                if (!table.Contains(entry.Key) || !ReferenceEquals(table[entry.Key], entry.Value))
                {
                    return false;
                }
            }
            return true;
        }
    }
}
