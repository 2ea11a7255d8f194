<?php

declare(strict_types=1);

namespace App\Providers;

use App\Models\User;
use App\Services\StreamManager;
use Illuminate\Support\Facades\Gate;
use Illuminate\Support\ServiceProvider;
use RuntimeException;

final class StreamManagerServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        $this->app->singleton(StreamManager::class, function (): StreamManager {
            $config = config('services.stream_manager');
            $keyFile = $config['private_key_file'];
            return new StreamManager(
                $config['url'],
                $config['api_key'] ?? throw new RuntimeException('STREAM_MANAGER_API_KEY is not set'),
                $config['public_url'],
                $keyFile === null ? null : file_get_contents($keyFile),
            );
        });
    }

    public function boot(): void
    {
        // Replace this rule with your own. With this rule, no user can watch.
        Gate::define('watch-camera', fn (User $user, string $cameraId): bool => false);
    }
}
