<!doctype html>
<meta charset="utf-8">
<title>{{ $camera }}</title>
@if ($hlsUrl)
<video id="video" data-hls-url="{{ $hlsUrl }}" controls muted playsinline></video>
<p id="message" role="status"></p>
<form id="renew" method="post" action="{{ route('camera.renew', $camera) }}">@csrf</form>
<script src="{{ asset('js/hls.min.js') }}"></script>
<script src="{{ asset('js/camera.js') }}"></script>
@else
<p>This camera cannot be played at the moment.</p>
@endif
