"""Workers that speak Azure's own protocol: the gRPC service `FunctionRpc`, which C# apps and Microsoft's workers call.

grpc and protobuf are imported when the first such worker is started, because a host without one needs neither.
"""
