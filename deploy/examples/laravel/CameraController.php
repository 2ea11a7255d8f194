<?php

declare(strict_types=1);

namespace App\Http\Controllers;

use App\Services\StreamManager;
use App\Services\StreamManagerException;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Support\Facades\Gate;
use Illuminate\Support\Facades\Log;

/**
 * A page that plays a camera, and the request that renews its playback session.
 */
final class CameraController extends Controller
{
    public function __construct(private readonly StreamManager $streams)
    {
    }

    public function show(Request $request, string $camera): Response
    {
        $hlsUrl = null;
        $status = 200;
        try {
            $hlsUrl = $this->hlsUrl($request, $camera);
        } catch (StreamManagerException $error) {
            $status = $this->statusOf($error);
        }
        $page = response()->view('camera', ['camera' => $camera, 'hlsUrl' => $hlsUrl], $status);
        return $page->header('Cache-Control', 'no-store');
    }

    public function renew(Request $request, string $camera): JsonResponse
    {
        try {
            return response()->json(['hls_url' => $this->hlsUrl($request, $camera)]);
        } catch (StreamManagerException $error) {
            return response()->json(['error' => 'the camera cannot be played'], $this->statusOf($error));
        }
    }

    private function hlsUrl(Request $request, string $camera): string
    {
        Gate::authorize('watch-camera', $camera);
        $ttl = config('services.stream_manager.playback_ttl');
        return $this->streams->playbackUrl((string) $request->user()->id, $camera, $ttl)['hlsUrl'];
    }

    private function statusOf(StreamManagerException $error): int
    {
        Log::warning($error->getMessage());
        return $error->errorCode === 'unknown_camera' ? 404 : 503;
    }
}
