// The connection with the host: one JSON message a line, over a socket that functions and their child processes do not have.
using System;
using System.Buffers;
using System.IO;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Bridge.PowerShellWorker
{
    /// <summary>Messages to and from the host. `Send` may be called from any thread.</summary>
    internal sealed class Channel
    {
        private const int CloseOnExec = 1;
        private const int SetDescriptorFlags = 2;
        private const int LongestLine = 256 * 1024 * 1024;  // bytes

        private static readonly JsonWriterOptions s_written = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

        private readonly object _gate = new();
        private readonly Socket _socket;
        private byte[] _buffer = new byte[64 * 1024];
        private int _begin, _end;

        internal Channel(int descriptor)
        {
            fcntl(descriptor, SetDescriptorFlags, CloseOnExec);
            _socket = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true)) { Blocking = true };
        }

        /// <summary>Writes one message; it has left the process when this returns, so a crash right after loses nothing.</summary>
        internal void Send(Action<Utf8JsonWriter> write)
        {
            var text = new ArrayBufferWriter<byte>(512);
            using (var json = new Utf8JsonWriter(text, s_written))
            {
                json.WriteStartObject();
                write(json);
                json.WriteEndObject();
            }
            text.GetSpan(1)[0] = (byte)'\n';
            text.Advance(1);
            SendLine(text.WrittenSpan);
        }

        private void SendLine(ReadOnlySpan<byte> line)
        {
            lock (_gate)
            {
                while (line.Length > 0)
                {
                    line = line[_socket.Send(line)..];
                }
            }
        }

        /// <summary>The next message; null when the host has closed the connection.</summary>
        internal JsonDocument Receive()
        {
            int searched = _begin;
            while (true)
            {
                int newline = Array.IndexOf(_buffer, (byte)'\n', searched, _end - searched);
                if (newline >= 0)
                {
                    // A copy, because the document is read by other threads while the buffer is filled again.
                    var line = new ReadOnlyMemory<byte>(_buffer[_begin..newline]);
                    _begin = newline + 1;
                    return JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 128 });
                }
                int waiting = _end - _begin;
                MakeRoom();
                searched = _begin + waiting;
                int read = Read();
                if (read == 0)
                {
                    return null;
                }
                _end += read;
            }
        }

        private int Read()
        {
            try
            {
                return _socket.Receive(_buffer, _end, _buffer.Length - _end, SocketFlags.None);
            }
            catch (SocketException)
            {
                return 0;
            }
        }

        private void MakeRoom()
        {
            int waiting = _end - _begin;
            byte[] target = waiting < _buffer.Length / 2 ? _buffer : new byte[checked(_buffer.Length * 2)];
            if (target.Length > LongestLine)
            {
                throw new InvalidDataException($"A message of the host is longer than {LongestLine} bytes.");
            }
            Buffer.BlockCopy(_buffer, _begin, target, 0, waiting);
            _buffer = target;
            _begin = 0;
            _end = waiting;
        }

        [DllImport("libc")]
        private static extern int fcntl(int descriptor, int command, int argument);
    }
}
