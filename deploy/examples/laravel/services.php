<?php

// Add the entry to what your config/services.php returns.
return [
    'stream_manager' => [
        // Where this server reaches the API: the manager itself, or nginx.
        'url' => env('STREAM_MANAGER_URL', 'http://127.0.0.1:8088'),
        'api_key' => env('STREAM_MANAGER_API_KEY'),
        // Where browsers reach nginx.
        'public_url' => env('STREAM_MANAGER_PUBLIC_URL', 'http://localhost:8080'),
        // For mintToken() alone: a file with an Ed25519 or RSA key in PEM.
        'private_key_file' => env('STREAM_MANAGER_PRIVATE_KEY_FILE'),
        // Seconds for which a page may play before it has to ask again.
        'playback_ttl' => 3600,
    ],
];
