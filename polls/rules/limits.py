"""Fixed limits, public at `GET /api/v1/limits/`. Names carry their unit."""

MAX_STARS = 5

LIMITS: dict[str, int] = {
    "question_characters": 300,
    "description_characters": 2000,
    "option_text_characters": 200,
    "options_min": 2,
    "options_max": 50,
    "embed_origins_max": 20,
    "embed_origin_characters": 200,
    "duration_min_seconds": 1,
    "duration_max_seconds": 366 * 24 * 3600,
    "voter_codes_a_request": 10_000,
    "voter_codes_a_sheet": 500,
    "voter_codes_a_poll": 100_000,
    "vote_body_bytes": 16 * 1024,
    "poll_body_bytes": 256 * 1024,
    "idempotency_key_characters": 200,
    "websocket_frame_bytes": 4 * 1024,
    "request_line_bytes": 8 * 1024,
    "request_headers": 100,
    "request_header_bytes": 32 * 1024,
    "pipelined_requests": 32,
    "websocket_fragments": 100,
    "rating_min": 1,
    "rating_max": MAX_STARS,
}
