"""Listeners, interceptors and servicers: translate between gRPC and the gate, and nothing else."""
