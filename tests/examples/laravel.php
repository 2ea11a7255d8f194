<?php

/**
 * Calls every function of the client in deploy/examples/laravel, with a real manager. This script reads its
 * settings as JSON from standard input, and writes the results as JSON to standard output.
 */

declare(strict_types=1);

use App\Services\StreamManager;
use App\Services\StreamManagerException;

foreach (['curl', 'openssl', 'sodium'] as $extension) {
    if (!extension_loaded($extension)) {
        fwrite(STDERR, "PHP's {$extension} is missing; install it with: apt-get install php-cli php-curl\n");
        exit(1);
    }
}

const EXAMPLE = __DIR__ . '/../../deploy/examples/laravel/';
require EXAMPLE . 'StreamManager.php';
require EXAMPLE . 'StreamManagerException.php';

$settings = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
$manager = fn (string $url, string $key): StreamManager => new StreamManager(
    $url,
    $key,
    $settings['public_url'],
    $settings['private_key'],
);
$streams = $manager($settings['base_url'], $settings['api_key']);

// Fetches a URL as a player does; returns the status and the first line of the response.
$fetch = function (string $url): array {
    $curl = curl_init($url);
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30]);
    $text = curl_exec($curl);
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), strtok((string) $text, "\n")];
};
// Makes a call that is expected to fail; returns the error.
$failure = function (callable $call): array {
    try {
        $call();
    } catch (StreamManagerException $error) {
        return [
            'status' => $error->status,
            'code' => $error->errorCode,
            'detail' => $error->detail,
            // What a log would contain: the error with its stack trace.
            'log' => (string) $error,
        ];
    }
    return ['status' => 200, 'code' => 'no error'];
};

$results = [];
$results['wrong_key'] = $failure(fn () => $manager($settings['base_url'], 'no-such-secret-0001')->status('door'));
$results['unreachable'] = $failure(fn () => $manager($settings['closed_url'], 'x')->status('door'));
$camera = ['name' => 'Front door', 'owner' => '42', 'rtsp_link' => $settings['link']];
$results['put'] = $streams->putCamera('door', $camera);
$results['start'] = $streams->startCamera('door', options: ['audio' => 'off']);
$results['state'] = $streams->status('door');
$streams->putCamera('other', ['rtsp_link' => $settings['link']]);
$results['search'] = $streams->listCameras('front d');
$results['page'] = $streams->listCameras(limit: 1, offset: 1);

$playback = $streams->playbackUrl('anna', 'door', 600);
$results['playback'] = $playback;
$results['session'] = $fetch($playback['hlsUrl']);
$streams->endSession($playback['sessionId']);
$results['session_ended'] = $fetch($playback['hlsUrl']);

$minted = $streams->mintToken('bert', ['door'], 600);
$results['minted'] = $fetch($streams->hlsUrl($minted['token'], 'door'));
$results['minted_other'] = $fetch($streams->hlsUrl($minted['token'], 'other'));
$streams->endSession($minted['sessionId']);
$results['minted_ended'] = $fetch($streams->hlsUrl($minted['token'], 'door'));

$cameras = ['door'];
for ($number = 0; $number < 99; $number++) {
    $cameras[] = sprintf('%08x-0000-4000-8000-000000000000', $number);
}
$largest = $streams->mintToken(str_repeat('ü', 200), $cameras, 86400);
$results['minted_largest'] = $fetch($streams->hlsUrl($largest['token'], 'door'));
// Returns whether the client refuses to create a token.
$isRefused = function (string $user = 'bert', array $cameras = ['door'], int $ttl = 600) use ($streams): bool {
    try {
        $streams->mintToken($user, $cameras, $ttl);
    } catch (InvalidArgumentException) {
        return true;
    }
    return false;
};
$results['refused'] = [
    $isRefused(user: ''),
    $isRefused(user: str_repeat('x', 201)),
    $isRefused(user: "a\nb"),
    $isRefused(cameras: []),
    $isRefused(cameras: [...$cameras, 'other']),
    $isRefused(cameras: ['front door']),
    $isRefused(cameras: ['*', 'door']),
    $isRefused(cameras: [str_repeat('x', 65)]),
    $isRefused(ttl: 0),
    $isRefused(ttl: 86401),
    // Too long although every part is permitted.
    $isRefused(cameras: array_map(fn (int $number): string => sprintf('%064d', $number), range(0, 99))),
];

$results['no_session'] = $failure(fn () => $streams->endSession('no-such/session'));

$results['wrong_link'] = $failure(fn () => $streams->startCamera('wrong', $settings['wrong_link']));
$results['no_link'] = $failure(fn () => $streams->putCamera('wrong', ['rtsp_link' => $settings['no_link']]));
$streams->stopCamera('door');
$results['stopped'] = $streams->status('door')['state'];
$streams->deleteCamera('door');
$results['deleted'] = $failure(fn () => $streams->status('door'));

echo json_encode($results, JSON_THROW_ON_ERROR);
