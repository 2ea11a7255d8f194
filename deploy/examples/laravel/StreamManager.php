<?php

declare(strict_types=1);

namespace App\Services;

use CurlHandle;
use InvalidArgumentException;
use JsonException;
use SensitiveParameter;

/**
 * A client of stream-manager's API. Needs ext-curl; mintToken() also needs ext-sodium or ext-openssl.
 *
 * Links and keys are marked as sensitive, so that PHP omits them from stack traces.
 */
final class StreamManager
{
    /**
     * Time limit of a start in seconds. A start can take 68 s when many cameras start at once and the link has
     * changed.
     */
    private const START_TIMEOUT = 75;
    private const CONNECT_TIMEOUT = 3;
    private const DEFAULT_TTL = 1800;
    private const MAX_TTL = 86400;
    private const MAX_CAMERAS = 100;
    private const MAX_TOKEN_LENGTH = 8192;
    private const USER = '/\A[^\x{0}-\x{1f}\x{7f}-\x{9f}]{1,200}\z/u';
    private const CAMERA_ID = '/\A[A-Za-z0-9_-]{1,64}\z/';
    /** The bytes before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410), in hexadecimal. */
    private const ED25519_PREFIX = '302e020100300506032b657004220420';

    private readonly string $baseUrl;
    private readonly string $publicUrl;

    /**
     * @param string      $baseUrl    address at which this server reaches the API, e.g. http://127.0.0.1:8088
     * @param string      $publicUrl  address at which browsers reach nginx, e.g. https://video.example
     * @param string|null $privateKey Ed25519 or RSA key in PEM format; only mintToken() needs it
     * @param string|null $keyId      kid of the private key, if the manager's PLAYBACK_PUBLIC_KEYS is a JWKS
     * @param int         $timeout    time limit in seconds of all requests except startCamera()
     */
    public function __construct(
        string $baseUrl,
        #[SensitiveParameter] private readonly string $apiKey,
        string $publicUrl,
        #[SensitiveParameter] private readonly ?string $privateKey = null,
        private readonly ?string $keyId = null,
        private readonly int $timeout = 20,
    ) {
        $this->baseUrl = rtrim($baseUrl, '/');
        $this->publicUrl = rtrim($publicUrl, '/');
    }

    /**
     * Starts a camera's stream if it is not running; returns when the stream is playable. If a keyframe is late,
     * or with the option wait => false, the method can return before that, with the status `starting`. A call is
     * optional, because a viewer's first request starts the stream too. Call the method to find out whether
     * the camera works.
     *
     * @param string|null          $rtspLink null for a known camera. The manager stores the link even
     *                                       if the camera cannot be played, unless the stream is live
     *                                       with another link
     * @param array<string, mixed> $options  profile, video, audio, transport, output, wait
     * @return array<string, mixed> indicator_id, stream_path, status
     */
    public function startCamera(
        string $id,
        #[SensitiveParameter] ?string $rtspLink = null,
        array $options = [],
    ): array {
        $body = ['indicator_id' => $id] + $options;
        if ($rtspLink !== null) {
            $body['rtsp_link'] = $rtspLink;
        }
        return $this->call('POST', '/api/stream/start', $body, self::START_TIMEOUT);
    }

    /**
     * Stops a stream for all viewers. A player that is still open starts the stream again.
     */
    public function stopCamera(string $id, string $profile = 'main'): void
    {
        $this->call('POST', '/api/stream/stop', ['indicator_id' => $id, 'profile' => $profile]);
    }

    /**
     * Returns the state of a stream.
     *
     * @return array<string, mixed> state, viewers, media, last_error and more
     */
    public function status(string $id, string $profile = 'main'): array
    {
        $query = http_build_query(['indicator_id' => $id, 'profile' => $profile]);
        return $this->call('GET', "/api/stream/status?{$query}");
    }

    /**
     * Adds or replaces a camera. Fields that you omit are reset to their defaults, including name and
     * owner. The manager keeps a source that you omit. It also keeps an omitted password if ip, port and username
     * stay the same, and an omitted onvif_certificate if onvif stays the same.
     *
     * @param array<string, mixed> $camera name, owner, rtsp_link, video, audio, transport and more
     * @return array<string, mixed> the camera without its secrets
     */
    public function putCamera(string $id, #[SensitiveParameter] array $camera): array
    {
        return $this->call('PUT', '/api/cameras/' . rawurlencode($id), $camera);
    }

    /**
     * Deletes a camera and stops its streams.
     */
    public function deleteCamera(string $id): void
    {
        $this->call('DELETE', '/api/cameras/' . rawurlencode($id));
    }

    /**
     * Returns a page of the cameras, sorted by id, and the total number of cameras.
     *
     * @param string $search part of an id, a name or a host; empty for all cameras
     * @return array{cameras: list<array<string, mixed>>, total: int}
     */
    public function listCameras(string $search = '', int $limit = 100, int $offset = 0): array
    {
        $query = http_build_query(['search' => $search, 'limit' => $limit, 'offset' => $offset]);
        return $this->call('GET', "/api/cameras?{$query}");
    }

    /**
     * Creates a playback session: the user can watch the camera for $ttl seconds. The page plays hlsUrl;
     * endSession() with sessionId ends the session.
     *
     * @return array{hlsUrl: string, sessionId: string, expiresAt: string}
     */
    public function playbackUrl(string $user, string $cameraId, int $ttl = self::DEFAULT_TTL): array
    {
        $session = $this->call('POST', '/api/playback/sessions', [
            'user' => $user,
            'camera' => $cameraId,
            'ttl_seconds' => $ttl,
        ]);
        return [
            // With the manager's setting PUBLIC_URL, the URL is complete.
            'hlsUrl' => str_contains($session['hls_url'], '://') ? $session['hls_url'] : $this->publicUrl . $session['hls_url'],
            'sessionId' => $session['session_id'],
            'expiresAt' => $session['expires_at'],
        ];
    }

    /**
     * Ends a playback session early; the viewer's next request is refused.
     */
    public function endSession(string $id): void
    {
        $this->call('DELETE', '/api/playback/sessions/' . rawurlencode($id));
    }

    /**
     * Creates the token of a playback session without a request to the manager. The manager needs the
     * public key. Only an API key with role admin can end the session.
     *
     * @param array<string> $cameras ids, or ['*'] for all cameras
     * @return array{token: string, sessionId: string, expiresAt: string}
     */
    public function mintToken(string $user, array $cameras, int $ttl = self::DEFAULT_TTL): array
    {
        // Checked here, because the manager checks a token only when a viewer uses it.
        // Converts numeric ids to strings, and an array with gaps to a list.
        $cameras = array_map(strval(...), array_values($cameras));
        if (preg_match(self::USER, $user) !== 1) {
            throw new InvalidArgumentException('a user has 1 to 200 characters, and no control characters');
        }
        if ($cameras === [] || count($cameras) > self::MAX_CAMERAS) {
            throw new InvalidArgumentException('a token needs 1 to 100 cameras');
        }
        if ($cameras !== ['*'] && preg_grep(self::CAMERA_ID, $cameras, PREG_GREP_INVERT) !== []) {
            throw new InvalidArgumentException("cameras must be ids of cameras, or ['*']");
        }
        if ($ttl < 1 || $ttl > self::MAX_TTL) {
            throw new InvalidArgumentException('a token is valid for 1 to 86400 seconds');
        }
        [$algorithm, $sign] = $this->signer();
        $now = time();
        $sessionId = bin2hex(random_bytes(12));
        $header = ['alg' => $algorithm, 'typ' => 'JWT'];
        if ($this->keyId !== null) {
            $header['kid'] = $this->keyId;
        }
        $claims = [
            'jti' => $sessionId,
            'sub' => $user,
            'cameras' => $cameras,
            'aud' => 'stream-manager',
            'iat' => $now,
            'exp' => $now + $ttl,
        ];
        $signed = self::base64url(self::encode($header)) . '.' . self::base64url(self::encode($claims));
        $token = $signed . '.' . self::base64url($sign($signed));
        if (strlen($token) > self::MAX_TOKEN_LENGTH) {
            throw new InvalidArgumentException('the token is too long; name fewer cameras');
        }
        $expiresAt = gmdate('Y-m-d\TH:i:s\Z', $now + $ttl);
        return ['token' => $token, 'sessionId' => $sessionId, 'expiresAt' => $expiresAt];
    }

    /**
     * Returns the address at which a player can play one of the token's cameras.
     */
    public function hlsUrl(string $token, string $cameraId, string $profile = 'main'): string
    {
        $stream = $profile === 'sub' ? "{$cameraId}~sub" : $cameraId;
        return "{$this->publicUrl}/play/{$token}/{$stream}/stream.m3u8";
    }

    /**
     * @return array{string, callable(string): string} the name of the algorithm, and a function that signs
     */
    private function signer(): array
    {
        if ($this->privateKey === null) {
            throw new InvalidArgumentException('set privateKey, which is needed to sign tokens');
        }
        $lines = preg_replace('/-----[^-]+-----|\s/', '', $this->privateKey);
        $der = bin2hex((string) base64_decode((string) $lines, true));
        if (str_starts_with($der, self::ED25519_PREFIX)) {
            $seed = sodium_hex2bin(substr($der, strlen(self::ED25519_PREFIX)));
            $key = sodium_crypto_sign_secretkey(sodium_crypto_sign_seed_keypair($seed));
            return ['EdDSA', fn (string $text): string => sodium_crypto_sign_detached($text, $key)];
        }
        $key = openssl_pkey_get_private($this->privateKey);
        if ($key === false || openssl_pkey_get_details($key)['type'] !== OPENSSL_KEYTYPE_RSA) {
            throw new InvalidArgumentException('the private key is neither an Ed25519 nor an RSA key in PEM format');
        }
        return ['RS256', function (string $text) use ($key): string {
            openssl_sign($text, $signature, $key, OPENSSL_ALGO_SHA256);
            return $signature;
        }];
    }

    /**
     * @param array<string, mixed>|null $body
     * @return array<string, mixed>
     */
    private function call(
        string $method,
        string $path,
        #[SensitiveParameter] ?array $body = null,
        ?int $timeout = null,
    ): array {
        $retryAfter = null;
        $headers = ['Accept: application/json', "Authorization: Bearer {$this->apiKey}"];
        $options = [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT => self::CONNECT_TIMEOUT,
            CURLOPT_TIMEOUT => $timeout ?? $this->timeout,
            // Redirects are not followed, so that the API key is sent to no other server.
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_HEADERFUNCTION => function (CurlHandle $_, string $line) use (&$retryAfter): int {
                if (preg_match('/^retry-after:\s*(\d+)/i', $line, $match) === 1) {
                    $retryAfter = (int) $match[1];
                }
                return strlen($line);
            },
        ];
        if ($body !== null) {
            // Cast to an object, because an empty array would be encoded as a list.
            $options[CURLOPT_POSTFIELDS] = self::encode((object) $body);
            $headers[] = 'Content-Type: application/json';
        }
        $curl = curl_init($this->baseUrl . $path);
        curl_setopt_array($curl, $options + [CURLOPT_HTTPHEADER => $headers]);
        $text = curl_exec($curl);
        if (!is_string($text)) {
            $isLate = curl_errno($curl) === CURLE_OPERATION_TIMEDOUT;
            $code = $isLate ? 'manager_timeout' : 'manager_unavailable';
            throw new StreamManagerException(0, $code, curl_error($curl));
        }
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        $answer = json_decode($text, true);
        if ($status >= 200 && $status < 300 && (is_array($answer) || $status === 204)) {
            return $answer ?? [];
        }
        // The response can be from a proxy, with another format.
        throw new StreamManagerException(
            $status,
            (string) ($answer['code'] ?? 'invalid_answer'),
            (string) ($answer['detail'] ?? 'the response does not come from the stream manager'),
            $retryAfter,
        );
    }

    /**
     * @param array<string, mixed>|object $value
     */
    private static function encode(#[SensitiveParameter] array|object $value): string
    {
        try {
            return json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        } catch (JsonException $error) {
            throw new InvalidArgumentException('cannot be encoded as JSON: ' . $error->getMessage());
        }
    }

    private static function base64url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
