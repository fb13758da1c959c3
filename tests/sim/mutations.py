"""mutations - promises that are broken on purpose, to see that the simulation would notice

Each is a few edits of one source file of the product. An edit names text that must occur exactly once, spaces and line
breaks aside; when the product is written differently, the edit has to follow it.
"""

# name: (what is broken, file, [(text, its replacement), ...])
MUTATIONS = {
    "pin-gap": (
        "the old pin ends before the new one begins",
        "src/sqlite/pin.c",
        [("TRY(pin_begin(database, next, &place, err));",
          "conn_end_read(&database->pins[old]); clock_pause_us(10); TRY(pin_begin(database, next, &place, err));")],
    ),
    "pin-ahead": (
        "the pin moves beyond what is captured",
        "src/sqlite/pin.c",
        [("TRY(pin_capture(database, client, &captured, err)); if (place->maybe_in_slot_zero)"
          " TRY(pin_settle(client, until_ns, err));",
          "(void)captured; (void)until_ns; (void)client; (void)place;")],
    ),
    "segment-unsynced": (
        "a segment is not synced before it gets its name",
        "src/base/pending_file.c",
        [("TRY(fs_sync(file->fd, file->temp, err));", "")],
    ),
    "name-unsynced": (
        "the folder is not synced after a file got its name",
        "src/base/pending_file.c",
        [("return fs_sync_parent(target, err);", "return RC_OK;")],
    ),
    "durable-early": (
        "the durable position moves before the store acknowledged the segment",
        "src/replica/upload.c",
        [("TRY(replica_put_segment(uploader->replica, &segment, &file->source, err));"
          " uploader_advance(uploader, &identity, &summary);",
          "uploader_advance(uploader, &identity, &summary);"
          " TRY(replica_put_segment(uploader->replica, &segment, &file->source, err));")],
    ),
    "durable-without-snapshot": (
        "transactions are called durable before a snapshot makes them restorable",
        "src/daemon/entry.c",
        [("if (entry->restorable_from == 0 || entry->durable.txid < entry->restorable_from) return 0;", "")],
    ),
    "wrong-base": (
        "a page from the file is the base of a difference without a look at its digest",
        "src/capture/image.c",
        [("TRY(database_read_file_page(capture->database, pgno, out, err));"
          " if (page_digest(pgno, page) == expected) return RC_OK;",
          "return database_read_file_page(capture->database, pgno, out, err);")],
    ),
    "unproved": (
        "a log that is another one is continued as if it were ours",
        "src/capture/capture.c",
        [("if (place->frame_count == 0 || !log_place_same_log(place, header))"
          ' FAIL(err, RC_MISMATCH, "the log is not the one that was captured");', "(void)place;"),
         ("if (sight == SIGHT_RESTARTED && commits !=", "if (false && commits !=")],
    ),
    "map-believed": (
        "the digest map is neither taken back after a crash nor compared with the position",
        "src/capture/state.c",
        [("TRY(digest_map_recover(state->map, position->txid, err));", ""),
         ("*ret = digest_map_sum(state->map, position->page_count, &sum) && sum == position->digest;",
          "*ret = digest_map_sum(state->map, position->page_count, &sum);")],
    ),
    "resync-unmarked": (
        "what a resync ships is not marked as one",
        "src/capture/resync.c",
        [("&view->place, TRANSACTION_RESYNC, err)", "&view->place, 0, err)")],
    ),
    "resync-short": (
        "a resync leaves out the last page",
        "src/capture/resync.c",
        [("TRY(image_walk(capture, &walk, err));",
          "struct wal_index_header shorter = *header; shorter.page_count--; walk.header = &shorter;"
          " TRY(image_walk(capture, &walk, err));")],
    ),
    "transaction-twice": (
        "a transaction is numbered twice",
        "src/capture/spool_writer.c",
        [("capture->folder.now.position = writer->position;",
          "capture->folder.now.position = writer->position;"
          " capture->folder.now.position.txid -= writer->position.txid % 7 == 0;")],
    ),
    "segment-forgotten": (
        "a segment is removed from the spool and was never stored",
        "src/replica/upload.c",
        [("TRY(replica_put_segment(uploader->replica, &segment, &file->source, err));",
          "if (summary.max_txid % 9 != 0)"
          " TRY(replica_put_segment(uploader->replica, &segment, &file->source, err));")],
    ),
    "reset-uncaptured": (
        "the log is let go with frames that were not captured",
        "src/capture/capture.c",
        [("rc result = capture->in_doubt ? RC_OK : capture_copy(capture, &header, err);",
          "if (capture->resync_barred) { *ret = header; return RC_OK; }"
          " rc result = capture->in_doubt ? RC_OK : capture_copy(capture, &header, err);")],
    ),
    "times-fall": (
        "the time of a transaction follows the clock wherever it goes",
        "src/capture/spool_writer.c",
        [("int64_t time_ms = capture->wall_ms > position->time_ms ? capture->wall_ms : position->time_ms;",
          "int64_t time_ms = capture->wall_ms;")],
    ),
    "folders-unsynced": (
        "no folder is synced, neither after it was made nor after a name in it",
        "src/base/fs.c",
        [("if (FS_UNINTERRUPTED(fsync(fd)) != 0 && errno != EINVAL) FAIL_SYS(err, \"sync folder '%s'\", parent);",
          "(void)parent;")],
    ),
    "log-overtaken": (
        "a snapshot that was faster is taken for the end of the stored log",
        "src/daemon/entry_attach.c",
        [("if (end.txid == 0) return attach_judge_beginning(entry, local, sight, err);",
          "if (sight->info.position.timeline == local->captured->timeline && sight->info.position.txid > end.txid)"
          " end = sight->info.position;"
          " if (end.txid == 0) return attach_judge_beginning(entry, local, sight, err);")],
    ),
    "merged-unnamed": (
        "what waits is removed and the merged segment that stands for it never appears",
        "src/capture/spool_merge.c",
        [("TRY(segment_dir_commit(&merge->pending, merge->folder, &name, err));", "(void)name;")],
    ),
    "merged-late": (
        "a merged segment holds pages as they were written later",
        "src/capture/spool_merge.c",
        [("if (kept_pages_has(&merge->kept, pgno))", "if (false)")],
    ),
    "common-believed": (
        "a timeline departs from what the spool holds behind the last point that is known to be stored",
        "src/daemon/entry_open.c",
        [("if (now->txid == entry->common.txid && now->digest == entry->common.digest)", "if (true)")],
    ),
}
