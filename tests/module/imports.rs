//! What a stock Envoy 1.40 gives to a module, and what it wants from one.

/// Host functions of ABI 0.2.1, module `env`. Anything else keeps the module from loading.
pub fn is_offered(module: &str, name: &str) -> bool {
    let (list, name) = match module {
        "env" => (PROXY, name.strip_prefix("proxy_").unwrap_or("")),
        "wasi_snapshot_preview1" => (WASI, name),
        _ => return false,
    };
    list.split_whitespace().any(|offered| offered == name)
}

/// What the filter has to export: the ABI's mark, an allocator, a start, the callbacks it needs.
pub const EXPORTS: &str = "
    memory _initialize proxy_abi_version_0_2_1 proxy_on_memory_allocate proxy_on_context_create
    proxy_on_vm_start proxy_on_configure proxy_on_tick proxy_on_request_headers
    proxy_on_request_body proxy_on_request_trailers proxy_on_response_headers
    proxy_on_http_call_response proxy_on_delete
";

const PROXY: &str = "
    log get_log_level get_status set_property get_property send_local_response continue_stream
    close_stream get_shared_data set_shared_data register_shared_queue resolve_shared_queue
    dequeue_shared_queue enqueue_shared_queue get_header_map_value add_header_map_value
    replace_header_map_value remove_header_map_value get_header_map_pairs set_header_map_pairs
    get_header_map_size get_buffer_status get_buffer_bytes set_buffer_bytes http_call grpc_call
    grpc_stream grpc_close grpc_cancel grpc_send set_tick_period_milliseconds
    get_current_time_nanoseconds define_metric increment_metric record_metric get_metric
    set_effective_context done call_foreign_function
";

const WASI: &str = "
    fd_write fd_read fd_seek fd_close fd_fdstat_get fd_prestat_get fd_prestat_dir_name path_open
    environ_get environ_sizes_get args_get args_sizes_get clock_time_get random_get sched_yield
    poll_oneoff proc_exit
";
