"""A dose-sensitive sample beside a strong static structure: what the scenes ``static_region`` and ``cell`` share.

Both objects are amplitudes of at most 1 times the square root of the photons that fall on one of their pixels. Three
numbers describe the light on the sample and are easily mixed up; all three are stored with the truth:

    sample_photons_per_detector_pixel   sum |X|^2 / size^2: what the sample alone would put on a detector pixel
    incident_photons_per_sample_pixel   photons on a pixel of the object where the sample is attenuated (dose)
    total_photons                       sum of the whole pattern, sample and static structure together
"""
