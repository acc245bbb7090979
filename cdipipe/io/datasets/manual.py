"""Public data sets without a direct link that was verified: where they are, and how to import what was downloaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ManualDataset:
    """A data set to download by hand.

    Parameters
    ----------
    where : DOI or page
    download : which files to take from there
    use : the command that takes them, with words in capitals to be replaced
    study : a study of them in ``config/examples``, if there is one
    """

    name: str
    title: str
    where: str
    licence: str
    download: str
    use: str
    study: str | None = None

    @property
    def credit(self) -> str:
        return self.where

    def instructions(self) -> str:
        """What to do, in a few lines."""
        lines = [
            f"{self.name}: {self.title}",
            f"  where: {self.where}",
            f"  licence: {self.licence}",
            f"  download by hand: {self.download}",
            f"  then: {self.use}",
        ]
        if self.study:
            lines.append(f"  or, with the files in data/{self.name}: make run CONFIG=config/examples/{self.study}")
        return "\n".join(lines)


_AS_STATED = "as stated on that page"

MANUAL_DATASETS = {
    dataset.name: dataset
    for dataset in (
        ManualDataset(
            name="pid3net",
            title="movies of a moving tantalum chart (7 ms frames) and of gold nanoparticles, with probe modes",
            where="https://doi.org/10.5281/zenodo.12144981",
            licence=_AS_STATED,
            download="the npz of the frames ('arr_0', intensities) and the npy of the probe (M, H, W), given for 1 s",
            use="cdipipe import FRAMES.npz -o M.cxi --stack movie --probe PROBE.npy --exposure-s 0.00727175 "
            "--frame-interval-s 0.00727175 --crop N --centre ROW,COLUMN",
            study="pid3net.yaml",
        ),
        ManualDataset(
            name="cxidb_lcls_particles",
            title="single shots of chlorovirus PBCV-1, bacteriophage T4 and Fe2O3 ellipsoids (1.2 keV, 0.738 m)",
            where="https://www.cxidb.org, deposit of Kassemeyer et al., https://doi.org/10.1364/OE.20.004149",
            licence=_AS_STATED,
            download="the .cxi files of the samples",
            use="cdipipe import FILE.cxi -o M.cxi --crop 512 --centre ROW,COLUMN --friedel (Fe2O3: also --bin 2)",
            study="cxidb_lcls_particles.yaml",
        ),
        ManualDataset(
            name="cxidb_mimivirus",
            title="single shots of the giant mimivirus at the LCLS, of unknown orientations (1.2 keV)",
            where="https://www.cxidb.org, described in https://doi.org/10.1038/sdata.2016.60",
            licence=_AS_STATED,
            download="the CXI file of the chosen patterns",
            use="cdipipe import FILE.cxi -o M.cxi --stack shots --hot-pixels mask --crop N --friedel",
            study="cxidb_mimivirus.yaml",
        ),
        ManualDataset(
            name="cxidb_151",
            title="gold nanocrystals by Bragg CDI, the static data of CDIP",
            where="https://cxidb.org/id-151.html",
            licence=_AS_STATED,
            download="one scan, and its mask if there is one",
            use="cdipipe import SCAN.h5 --dataset KEY -o M.cxi --stack volume (or shots) --mask MASK.h5 --crop D,H,W",
            study="cxidb_151.yaml",
        ),
        ManualDataset(
            name="dpr_silver_flower",
            title="one single-pulse pattern of a silver nanoparticle (PAL-XFEL), the demonstration of DPR",
            where="https://github.com/sungyun98/DPR",
            licence="BSD 2-Clause",
            download="exp/20170321_3480_35_ag_flower.mat",
            use="cdipipe import 20170321_3480_35_ag_flower.mat --dataset KEY -o M.cxi (without KEY it names them)",
            study="dpr_silver_flower.yaml",
        ),
        ManualDataset(
            name="in_situ_cdi",
            title="in situ CDI with a static region, the data of LoDIP",
            where="https://www.physics.ucla.edu/research/imaging/ISCDI/index.html, https://github.com/raunakmanekar/lodip",
            licence=_AS_STATED,
            download="the patterns (.mat)",
            use="cdipipe import FILE.mat --dataset KEY --axis 2 --stack movie -o M.cxi",
            study="in_situ_cdi.yaml",
        ),
        ManualDataset(
            name="nvidia_irregular_masks",
            title="irregular masks (Liu et al. 2018) for the training patterns of DPR",
            where="https://nv-adlr.github.io/publication/partialconv-inpainting",
            licence="CC BY-NC-SA 4.0, research use only",
            download="the test set (holes are bright) or the training set (holes are dark); unpack the pictures",
            use="cdipipe simulate SCENE ... --set detector.mask.irregular=FOLDER; for the training set also "
            "--set detector.mask.irregular_holes_are=dark --set 'detector.mask.irregular_grow_px=[9,49]'",
        ),
        ManualDataset(
            name="vgg19",
            title="VGG-19 trained on photographs, for the perceptual loss of DPR",
            where="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth (548 MB, all layers), or "
            "https://github.com/pietrocarbo/deep-transfer (2.2 MB, to relu3_1)",
            licence="CC BY 4.0 (the original weights, Visual Geometry Group, Oxford)",
            download="vgg19-dcbb9e9d.pth, or models/autoencoder_vgg19/vgg19_3/vgg_normalised_conv3_1.pth",
            use="cdipipe train dpr ... --set perceptual_weights=FILE (files of these names are checked by SHA-256)",
        ),
    )
}
