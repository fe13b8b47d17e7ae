// The runspaces of the app and the calls that wait for one.
using System;
using System.Collections.Generic;
using System.Threading;

namespace Bridge.PowerShellWorker
{
    /// <summary>
    /// Runs calls in the order they came. It grows by one runspace at a time, because opening two at once can fail, and only while a call waits that
    /// no idle runspace will take.
    /// </summary>
    internal sealed class SlotPool
    {
        private const int StackBytes = 16 * 1024 * 1024;  // room for scripts that recurse; PowerShell's own threads have 10 MB

        private readonly object _gate = new();
        private readonly App _app;
        private readonly int _bound;
        private readonly LinkedList<Call> _waiting = new();
        private readonly Dictionary<string, Call> _calls = new();
        private int _slots, _idle;
        private int _almostIdle;  // have answered, and will take the next call in an instant
        private bool _growing;

        internal SlotPool(App app, int bound)
        {
            _app = app;
            _bound = bound;
        }

        /// <summary>Opens the first runspace before there is a call for it.</summary>
        internal void Prepare()
        {
            lock (_gate)
            {
                Grow();
                while (_growing)
                {
                    Monitor.Wait(_gate);
                }
            }
        }

        internal void Run(Call call)
        {
            lock (_gate)
            {
                _calls[call.Id] = call;
                _waiting.AddLast(call);
                if (_idle > 0)
                {
                    Monitor.Pulse(_gate);
                }
                GrowIfNeeded();
            }
        }

        /// <summary>Ends a call. One that still waits never starts.</summary>
        internal void Stop(string id)
        {
            Call call;
            bool waited;
            lock (_gate)
            {
                if (!_calls.TryGetValue(id, out call))
                {
                    return;
                }
                waited = _waiting.Remove(call);
            }
            if (waited)
            {
                Forget(call);
                call.FailStopped();
            }
            else
            {
                call.Stop();
            }
        }

        private void GrowIfNeeded()
        {
            if (!_growing && _waiting.Count > _idle + _almostIdle && _slots < _bound)
            {
                Grow();
            }
        }

        private void Grow()
        {
            _growing = true;
            _slots++;
            new Thread(Serve, StackBytes) { IsBackground = true, Name = $"runspace {_slots}" }.Start();
        }

        /// <summary>The life of one runspace.</summary>
        private void Serve()
        {
            RunspaceSlot slot = null;
            bool usable = true;
            try
            {
                slot = new RunspaceSlot(_app);
                Call first = Grown();
                while (usable)
                {
                    Call call = first ?? Next();
                    first = null;
                    CrashPoint.Passed(CrashPoint.TakenNotRun);
                    bool free = false;
                    usable = slot.Run(call, () => free = AlmostIdle());
                    Forget(call);
                    usable = usable && slot.Reset();
                    if (free)
                    {
                        NoLongerAlmostIdle();
                    }
                }
            }
            catch (Exception problem)
            {
                // Nothing that a call does comes here, so the process is not to be trusted any more.
                Environment.FailFast($"A runspace of the worker failed: {problem}");
            }
            Leave(slot);
        }

        private bool AlmostIdle()
        {
            lock (_gate)
            {
                _almostIdle++;
                return true;
            }
        }

        private void NoLongerAlmostIdle()
        {
            lock (_gate)
            {
                _almostIdle--;
            }
        }

        /// <summary>The runspace is open. Takes the call that is longest waiting, if there is one.</summary>
        private Call Grown()
        {
            lock (_gate)
            {
                Call first = Take();
                _growing = false;
                Monitor.PulseAll(_gate);  // for Prepare
                GrowIfNeeded();
                return first;
            }
        }

        private Call Next()
        {
            lock (_gate)
            {
                _idle++;
                while (_waiting.Count == 0)
                {
                    Monitor.Wait(_gate);
                }
                _idle--;
                return Take();
            }
        }

        private Call Take()
        {
            if (_waiting.First is not { Value: Call call })
            {
                return null;
            }
            _waiting.RemoveFirst();
            return call;
        }

        private void Forget(Call call)
        {
            lock (_gate)
            {
                _calls.Remove(call.Id);
            }
        }

        private void Leave(RunspaceSlot slot)
        {
            lock (_gate)
            {
                _slots--;
                GrowIfNeeded();
            }
            slot.Dispose();
        }
    }
}
